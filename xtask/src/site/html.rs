//! The links of the built pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use regex::Regex;

use super::{files, normal, relative};

/// One message for each link of a page below the folder that leads to no file, or to no place on
/// its page. Links to other sites are not followed.
pub(super) fn broken_links(book: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    let mut others = BTreeSet::new();
    for file in files(book)? {
        let path = relative(book, &file);
        if path.ends_with(".html") {
            pages.insert(
                path,
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?,
            );
        } else {
            others.insert(path);
        }
    }
    broken(&pages, &others)
}

fn broken(pages: &BTreeMap<String, String>, others: &BTreeSet<String>) -> Result<Vec<String>> {
    let (link, place) = (Regex::new(r#"\b(?:href|src)="([^"]*)""#)?, Regex::new(r#"\bid="([^"]*)""#)?);
    let places: BTreeMap<&str, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| {
            (path.as_str(), place.captures_iter(text).filter_map(|id| Some(id.get(1)?.as_str())).collect())
        })
        .collect();
    let mut found = Vec::new();
    for (page, text) in pages {
        // These repeat other pages, or their links are relative to another page.
        if ["print.html", "404.html", "toc.html"].contains(&page.as_str()) {
            continue;
        }
        for target in link.captures_iter(text).filter_map(|link| Some(link.get(1)?.as_str())) {
            if target.contains("://")
                || ["data:", "mailto:", "javascript:"].iter().any(|kind| target.starts_with(kind))
            {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { normal(page, file) };
            let exists = match places.get(file.as_str()) {
                Some(places) => fragment.is_empty() || places.contains(fragment),
                None => others.contains(&file),
            };
            if !exists {
                found.push(format!("{page}: the link `{target}` leads nowhere"));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_needs_its_file_and_its_place() {
        let broken_in = |body: &str| {
            let pages = [("a/b.html", body), ("c.html", r#"<h2 id="d">"#)];
            let pages = pages.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
            broken(&pages, &["e.css".to_owned()].into()).unwrap().len()
        };
        for good in ["../c.html", "../c.html#d", "../e.css", "https://example.org/x#y", "#", "mailto:a@b"] {
            assert_eq!(broken_in(&format!(r#"<a href="{good}">"#)), 0, "{good}");
        }
        for bad in ["c.html", "../c.html#e", "../f.css", "#d"] {
            assert_eq!(broken_in(&format!(r#"<img src="{bad}">"#)), 1, "{bad}");
        }
    }
}
