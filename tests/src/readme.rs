//! The README's shell blocks, so that tests type what people type.
//!
//! Comes in: Markdown. Goes out: the text of its ```` ```sh ```` blocks below one heading. It must not change a line of them.

/// The README of these sources.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// The shell blocks between a heading (its whole line, `### Quick start`) and the next heading of whatever level.
///
/// # Panics
/// When there are not so many: whoever adds a block says who types it.
pub fn shell_blocks<const N: usize>(heading: &str) -> [String; N] {
    let blocks = blocks(&std::fs::read_to_string(README).expect("the README"), heading);
    blocks.try_into().unwrap_or_else(|all: Vec<_>| panic!("{heading}: {} blocks, and not {N}", all.len()))
}

fn blocks(markdown: &str, heading: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let (mut here, mut fence) = (false, None);
    for line in markdown.lines() {
        match (fence, line.strip_prefix("```")) {
            (None, Some(language)) => {
                fence = Some(language);
                if here && language == "sh" {
                    blocks.push(String::new());
                }
            }
            (Some(_), Some(_)) => fence = None,
            (Some("sh"), None) if here => {
                let block = blocks.last_mut().expect("its fence came first");
                block.push_str(line);
                block.push('\n');
            }
            (None, None) if line.starts_with('#') => here = line == heading,
            _ => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_belong_to_the_heading_above_them() {
        let markdown = "## A\n```sh\nno\n```\n### B\ntext\n```sh\n# a comment, no heading\none\n```\n\
            ```console\n$ no\n```\n```sh\ntwo\n```\n## C\n```sh\nno\n```\n";
        assert_eq!(blocks(markdown, "### B"), ["# a comment, no heading\none\n", "two\n"]);
        assert!(blocks(markdown, "### D").is_empty());
    }
}
