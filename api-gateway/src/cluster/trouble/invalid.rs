//! What the API server says of a resource that breaks a rule of its kind, for people: which field, and what is wrong with it.
//!
//! Comes in: the server's causes. Goes out: an [`Invalid`]. Pure. It leaves out the value that was sent, which may be a number
//! or a key.

use kube::core::response::StatusCause;

/// What is wrong with a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Path of the first field.
    pub field: String,
    /// What is wrong with it, and with further ones.
    pub problem: String,
}

impl Invalid {
    /// Reads the causes; none if the server names none.
    pub(super) fn read(causes: &[StatusCause]) -> Option<Self> {
        let (first, further) = causes.split_first()?;
        let mut problem = without_value(&first.message);
        for cause in further.iter().take(3) {
            problem = format!("{problem}; {}: {}", cause.field, without_value(&cause.message));
        }
        Some(Self { field: first.field.clone(), problem })
    }
}

/// `Invalid value: "x": too odd` → `too odd`; `Too long: may not be …` stays.
fn without_value(message: &str) -> String {
    let valued = ["Invalid value: ", "Unsupported value: ", "Duplicate value: "];
    let Some((kind, rest)) = valued.iter().find_map(|kind| Some((kind, message.strip_prefix(kind)?))) else {
        return message.to_owned();
    };
    let value = if rest.starts_with('"') { quoted(rest) } else { rest.find(": ") };
    match value.and_then(|end| rest.get(end..)).and_then(|rest| rest.strip_prefix(": ")) {
        Some(said) => said.to_owned(),
        None => kind.trim_end_matches(": ").to_owned(),
    }
}

/// Length of the quoted text that this one begins with.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(field: &str, message: &str) -> StatusCause {
        StatusCause {
            field: field.to_owned(),
            message: message.to_owned(),
            reason: "FieldValueInvalid".to_owned(),
        }
    }

    #[test]
    fn the_field_and_the_sentence_are_told_without_the_value() {
        for (message, told) in [
            (
                "Invalid value: \"object\": pairing by code needs phoneNumber",
                "pairing by code needs phoneNumber",
            ),
            ("Invalid value: \"a\\\"b: c\": must match x", "must match x"),
            ("Invalid value: 628123: must be less", "must be less"),
            ("Invalid value: \"628123\"", "Invalid value"),
            ("Too long: may not be more than 100 bytes", "Too long: may not be more than 100 bytes"),
            ("Unsupported value: \"x\": supported values: \"a\"", "supported values: \"a\""),
        ] {
            let read = Invalid::read(&[cause("spec.x", message)]).unwrap();
            assert_eq!((read.field.as_str(), read.problem.as_str()), ("spec.x", told), "{message}");
        }
        let two =
            Invalid::read(&[cause("spec.x", "Required value"), cause("spec.y", "Invalid value: 1: no")]);
        assert_eq!(two.unwrap().problem, "Required value; spec.y: no");
        assert_eq!(Invalid::read(&[]), None);
    }
}
