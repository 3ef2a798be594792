//! Plain tables for summaries: aligned columns, readable in any log.

/// Rows under a header; the columns named in `numbers` are aligned to the right.
pub(crate) fn render<const N: usize>(header: [&str; N], numbers: &[usize], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(&header.map(str::to_owned), &widths, numbers);
    text += &line(&widths.map(|width| "-".repeat(width)), &widths, numbers);
    for row in rows {
        text += &line(row, &widths, numbers);
    }
    text
}

fn line(cells: &[String], widths: &[usize], numbers: &[usize]) -> String {
    let mut text = String::new();
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        if column > 0 {
            text += "  ";
        }
        text +=
            &if numbers.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_words_left_and_numbers_right_without_trailing_blanks() {
        let rows = [["fmt".to_owned(), "1".to_owned()], ["clippy".to_owned(), "120".to_owned()]];
        let expected = "step      s\n------  ---\nfmt       1\nclippy  120\n";
        assert_eq!(render(["step", "s"], &[1], &rows), expected);
    }
}
