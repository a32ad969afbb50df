//! The linked account without its number.

use crds::status::AccountStatus;
use crds::token::{self, TokenKey};
use session_api::SessionStatus;

/// What is told of the account that a session is linked to.
pub(super) fn tell(
    said: &SessionStatus,
    before: Option<AccountStatus>,
    key: &TokenKey,
) -> Option<AccountStatus> {
    if !said.paired {
        return None;
    }
    said.me.as_ref().map_or(before, |me| {
        let user = user(&me.id);
        let digits: String = user.chars().filter(char::is_ascii_digit).collect();
        let hint =
            digits.len().checked_sub(3).filter(|cut| *cut > 0).map(|cut| format!("…{}", &digits[cut..]));
        Some(AccountStatus { fingerprint: fingerprint(&me.id, key), hint })
    })
}

/// The same for the same account, and of no use without the key.
pub fn fingerprint(id: &str, key: &TokenKey) -> String {
    let mut digits = token::derive(key, &format!("account:{}", user(id)));
    digits.truncate(16);
    digits
}

/// The number in `<number>[:<device>]@s.whatsapp.net`.
fn user(id: &str) -> &str {
    id.split(['@', ':']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_the_account_not_of_the_device() {
        let one = fingerprint("628123456789@s.whatsapp.net", &[1; 32]);
        assert_eq!(one, fingerprint("628123456789:7@s.whatsapp.net", &[1; 32]));
        assert_eq!(one, token::derive(&[1; 32], "account:628123456789")[..16]);
        assert_ne!(one, fingerprint("628123456789@s.whatsapp.net", &[2; 32]));
    }
}
