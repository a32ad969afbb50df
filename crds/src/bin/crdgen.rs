//! Prints the `CustomResourceDefinition` as YAML. Its output is checked in as `crds/whatsappsessions.yaml`.

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::io::stdout().write_all(crds::crd_yaml()?.as_bytes())?;
    Ok(())
}
