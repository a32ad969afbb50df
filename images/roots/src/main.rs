//! Nothing → Mozilla's CA roots on standard output, as the PEM file that programs expect at `/etc/ssl/certs/ca-certificates.crt`.
//! Names no date and no machine: the same crate gives the same bytes.

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Characters in a line of PEM. Source: RFC 7468, section 2.
const LINE: usize = 64;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for certificate in TLS_SERVER_ROOT_CERTS {
        writeln!(out, "-----BEGIN CERTIFICATE-----")?;
        let mut rest = STANDARD.encode(certificate);
        while !rest.is_empty() {
            let next = rest.split_off(LINE.min(rest.len()));
            writeln!(out, "{rest}")?;
            rest = next;
        }
        writeln!(out, "-----END CERTIFICATE-----")?;
    }
    out.flush()
}
