//! Kubernetes quantities, as far as they have to be compared. Text in, a number out.

/// Nano-units: the finest that a quantity can say.
const UNIT: i128 = 1_000_000_000;

/// How much a quantity is, in billionths; none if it is no quantity.
pub fn parse(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = whole.checked_mul(UNIT)?.checked_add(fraction)?;
    let (times, per) = factor(suffix)?;
    Some(nanos.checked_mul(times)? / per)
}

/// What a suffix multiplies and divides by.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, UNIT),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (UNIT, 1),
        "T" => (UNIT * 1_000, 1),
        "P" => (UNIT * 1_000_000, 1),
        "E" => (UNIT * UNIT, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let power: u32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (10_i128.checked_pow(power)?, 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn quantities_compare_over_their_suffixes() {
        for (less, more) in
            [("999Mi", "1Gi"), ("1G", "1Gi"), ("100m", "0.2"), ("1e3", "1Ki"), ("9", "10"), ("1", "1k")]
        {
            assert!(parse(less).unwrap() < parse(more).unwrap(), "{less} < {more}");
        }
        assert_eq!(parse("1Gi"), parse("1073741824"));
        assert_eq!(parse("0.5"), parse("500m"));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "Gi", ".", "1Q", "-1", "1e", "99999999999999999999999999999999999999999", "1.2.3"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
