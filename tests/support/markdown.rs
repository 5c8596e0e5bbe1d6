//! What a page of Markdown has: headings, links and blocks of code.

/// A page, taken apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// Headings: level and text, in order.
    pub headings: Vec<(usize, String)>,
    /// What the links point to, as written.
    pub links: Vec<String>,
    /// Fenced blocks of code, in order.
    pub blocks: Vec<Block>,
}

/// A fenced block of code.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Block {
    /// The first word after the fence, such as `toml`; empty where there is none.
    pub language: String,
    /// The line of the page on which the code begins, counted from 1.
    pub line: usize,
    /// The code.
    pub text: String,
}

impl Page {
    /// Takes a page apart.
    pub fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut open: Option<(String, Block)> = None;
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim_start();
            if let Some((fence, mut block)) = open.take() {
                if trimmed.trim_end() == fence {
                    page.blocks.push(block);
                } else {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some((fence, block));
                }
                continue;
            }
            if let Some(fence) = fence(trimmed) {
                let after = trimmed.trim_start_matches(['`', '~']);
                let language = after.split_whitespace().next().unwrap_or_default().to_owned();
                open = Some((fence, Block { language, line: index + 2, text: String::new() }));
            } else if let Some(heading) = heading(line) {
                page.headings.push(heading);
            } else {
                page.links.extend(links(&without_code(line)));
            }
        }
        page.blocks.extend(open.map(|(_, block)| block));
        page
    }

    /// The anchors that GitHub gives the headings.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, text) in &self.headings {
            let plain = slug(text);
            let numbered = (1..).map(|n| format!("{plain}-{n}"));
            let free = std::iter::once(plain.clone()).chain(numbered);
            anchors.extend(free.into_iter().find(|anchor| !anchors.contains(anchor)));
        }
        anchors
    }
}

fn fence(line: &str) -> Option<String> {
    ['`', '~'].into_iter().find_map(|mark| {
        let length = line.chars().take_while(|c| *c == mark).count();
        (length >= 3).then(|| String::from(mark).repeat(length))
    })
}

fn heading(line: &str) -> Option<(usize, String)> {
    let level = line.chars().take_while(|c| *c == '#').count();
    let text = line.get(level..)?.strip_prefix(' ')?;
    (1..=6).contains(&level).then(|| (level, text.trim().trim_end_matches('#').trim().to_owned()))
}

// Spans of code are text, whatever they look like.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("code")
}

fn links(line: &str) -> Vec<String> {
    let definition = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target.split_whitespace().next().unwrap_or_default().to_owned());
    let inline = line.match_indices("](").filter_map(|(at, _)| {
        let target = line.get(at + 2..)?.split_once(')')?.0;
        Some(target.split_whitespace().next().unwrap_or_default().to_owned())
    });
    definition.into_iter().chain(inline).collect()
}

fn slug(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    // Of a link only its text is shown.
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    let lower = text.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_links_and_blocks_are_found() {
        let page = Page::parse(
            "# Title\n\nSee [a](b.md#c) and [d](<e> \"f\"), not `[g](h)`.\n\n```sh\n# no heading\n\
             [no](link)\n```\n## Two #\n[ref]: target.md\n",
        );
        assert_eq!(page.headings, [(1, "Title".to_owned()), (2, "Two".to_owned())]);
        assert_eq!(page.links, ["b.md#c", "<e>", "target.md"]);
        assert_eq!(page.blocks.len(), 1);
        assert_eq!(page.blocks[0].language, "sh");
        assert_eq!(page.blocks[0].line, 6);
        assert!(page.blocks[0].text.starts_with("# no heading\n"));
    }

    #[test]
    fn a_longer_fence_holds_a_shorter_one() {
        let page = Page::parse("````md\n```sh\nx\n```\n````\n# After\n");
        assert_eq!(page.blocks.len(), 1);
        assert_eq!(page.headings.len(), 1);
    }

    #[test]
    fn anchors_are_those_of_github() {
        let page = Page::parse(
            "# The freeze: `cgroup.freeze`\n## A & B\n## Two\n## Two\n## [Link](x.md) text\n## a_b\n",
        );
        assert_eq!(
            page.anchors(),
            ["the-freeze-cgroupfreeze", "a--b", "two", "two-1", "link-text", "a_b"]
        );
    }
}
