//! Columns that line up.

use std::io::{self, Write};

/// Writes rows below their headings, each column as wide as its widest cell. What a terminal would obey, or
/// take for the end of a line, is replaced: much of it comes from others.
pub(super) fn write<const N: usize>(
    out: &mut dyn Write,
    headings: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let plain = |cell: &String| cell.replace(char::is_control, "\u{fffd}");
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(plain)).collect();
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(out, &widths, headings)?;
    rows.iter().try_for_each(|row| line(out, &widths, row.each_ref().map(String::as_str)))
}

fn line<const N: usize>(
    out: &mut dyn Write,
    widths: &[usize; N],
    cells: [&str; N],
) -> io::Result<()> {
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tails() {
        let mut out = Vec::new();
        let rows = [["a".to_owned(), "bb".to_owned()], ["ccc".to_owned(), String::new()]];
        write(&mut out, ["X", "Y"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "X    Y\na    bb\nccc\n");
    }

    #[test]
    fn nobody_forges_a_row() {
        let mut out = Vec::new();
        write(&mut out, ["X"], &[["a\nb\u{1b}[31m".to_owned()]]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "X\na\u{fffd}b\u{fffd}[31m\n");
    }
}
