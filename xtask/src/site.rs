//! The documentation site: an mdBook of `docs/`, and of texts from other folders.
//!
//! The docs of a store are the page of its backend, so that no fact is written twice. Links are
//! checked twice: those of the Markdown must lead to a file of the repository, and those of the
//! built pages to a page and a heading of the site.

mod html;
mod markdown;
mod pictures;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{cache, cargo, tools, workspace};

/// A page whose text is not in `docs/`.
struct Page {
    /// Its path in the book.
    path: &'static str,
    title: &'static str,
    /// The Markdown, or the Rust file whose crate docs are the page.
    source: &'static str,
}

const fn page(path: &'static str, title: &'static str, source: &'static str) -> Page {
    Page { path, title, source }
}

const PAGES: [Page; 13] = [
    page("introduction.md", "cred", "README.md"),
    page("service.md", "Use it in a service", "crates/cred-rs/src/lib.rs"),
    page("backends/local.md", "Local files", "crates/cred-store-local/src/lib.rs"),
    page("backends/aws.md", "AWS Secrets Manager", "crates/cred-store-aws/src/lib.rs"),
    page("backends/azure.md", "Azure Key Vault", "crates/cred-store-azure/src/lib.rs"),
    page("backends/vault.md", "HashiCorp Vault and OpenBao", "crates/cred-store-vault/src/lib.rs"),
    page("backends/kubernetes.md", "Kubernetes Secrets", "crates/cred-store-k8s/src/lib.rs"),
    page("sealed-format.md", "Sealed format", "crates/cred-crypto/src/lib.rs"),
    page("manager.md", "Guarantees of the manager", "crates/cred-manager/src/lib.rs"),
    page("program.md", "The program `cred`", "crates/cred-cli/README.md"),
    page("configuration.md", "The file `cred.toml`", "crates/cred-config/README.md"),
    page("reporting.md", "Report a vulnerability", "SECURITY.md"),
    page("changelog.md", "Changelog", "CHANGELOG.md"),
];

/// Builds the site in the target folder and checks its links.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    pictures::check(&root.join("docs/pictures"))?;
    let site = workspace::metadata()?.target_directory.join("site").into_std_path_buf();
    cache::remove_folder(&site)?;
    let source = site.join("src");
    copy(&root.join("docs"), &source)?;
    for setting in ["book.toml", "theme"] {
        let from = source.join(setting);
        fs::rename(&from, site.join(setting)).with_context(|| format!("docs/{setting} is missing"))?;
    }

    let mut broken = Vec::new();
    for (path, home, text) in pages(&root, &source)? {
        let text = markdown::with_links(&text, |target| {
            link(&root, &path, &home, target).unwrap_or_else(|| {
                broken.push(format!("{home}: the link `{target}` leads to no file of the repository"));
                target.to_owned()
            })
        });
        let file = source.join(&path);
        fs::create_dir_all(file.parent().unwrap_or(&source))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    cargo::run(tools::mdbook()?.arg("build").arg(&site))?;
    let book = site.join("book");
    broken.extend(html::broken_links(&book)?);
    if !broken.is_empty() {
        bail!("{} broken links:\n{}", broken.len(), broken.join("\n"));
    }
    println!("the site is {}", book.join("index.html").display());
    Ok(())
}

/// Each page: its path in the book, the path of its text in the repository, and the text.
fn pages(root: &Path, source: &Path) -> Result<Vec<(String, String, String)>> {
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let mut pages = Vec::new();
    for file in files(source)?.iter().filter(|file| file.extension().is_some_and(|kind| kind == "md")) {
        let path = relative(source, file);
        pages.push((path.clone(), format!("docs/{path}"), read(file)?));
    }
    for Page { path, title, source } in PAGES {
        let text = read(&root.join(source))?;
        let text = match source.ends_with(".rs") {
            true => markdown::of_crate_docs(&with_included(&text, root.join(source).parent())?, title),
            false => markdown::titled(&text, title),
        };
        pages.push((path.to_owned(), source.to_owned(), text));
    }
    Ok(pages)
}

/// Crate docs with the files that they include, as lines of docs.
fn with_included(source: &str, folder: Option<&Path>) -> Result<String> {
    let mut lines = Vec::new();
    for line in source.lines() {
        let included = line.strip_prefix("#![doc = include_str!(\"").and_then(|rest| rest.split('"').next());
        match included.zip(folder) {
            Some((file, folder)) => {
                let text =
                    fs::read_to_string(folder.join(file)).with_context(|| format!("cannot read {file}"))?;
                lines.extend(text.lines().map(|line| format!("//! {line}")));
            }
            None => lines.push(line.to_owned()),
        }
    }
    Ok(lines.join("\n"))
}

/// The target of a link on the site: a page of the book, else the file on the repository's site. A
/// link of the summary is already one of the book.
fn link(root: &Path, page: &str, home: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with(['#', '?']) || target.starts_with("mailto:") {
        return Some(target.to_owned());
    }
    if home == "docs/SUMMARY.md" && PAGES.iter().any(|page| page.path == target) {
        return Some(target.to_owned());
    }
    let (file, fragment) =
        target.split_once('#').map_or((target, String::new()), |(file, name)| (file, format!("#{name}")));
    let file = normal(home, file);
    let is_home = |page: &&Page| {
        page.source == file
            || page.source.strip_suffix("/src/lib.rs") == Some(&file)
            || page.source.strip_suffix("/README.md") == Some(&file)
    };
    let of_book = PAGES.iter().find(is_home).map(|page| page.path.to_owned());
    let of_docs = file.strip_prefix("docs/").filter(|_| root.join(&file).is_file()).map(str::to_owned);
    if let Some(path) = of_book.or(of_docs) {
        let up = "../".repeat(page.matches('/').count());
        return Some(format!("{up}{path}{fragment}"));
    }
    let kind = if root.join(&file).is_dir() { "tree" } else { "blob" };
    root.join(&file).exists().then(|| format!("{REPOSITORY}/{kind}/main/{file}{fragment}"))
}

const REPOSITORY: &str = "https://github.com/cred-rs/cred";

/// The path from the root of a link on a page, without `.` and `..`.
fn normal(home: &str, target: &str) -> String {
    let mut parts: Vec<&str> = home.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn relative(folder: &Path, file: &Path) -> String {
    let path = file.strip_prefix(folder).unwrap_or(file);
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(&file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_its_page_or_to_the_repository() {
        let root = workspace::root();
        let link = |page, home, target| link(&root, page, home, target);
        for (page, home, target, expected) in [
            ("keys.md", "docs/keys.md", "threat-model.md#x", Some("threat-model.md#x")),
            ("operate/a.md", "docs/operate/a.md", "../threat-model.md", Some("../threat-model.md")),
            ("keys.md", "docs/keys.md", "../crates/cred-store-aws", Some("backends/aws.md")),
            (
                "operate/a.md",
                "docs/operate/a.md",
                "../../crates/cred-cli/README.md#keys",
                Some("../program.md#keys"),
            ),
            (
                "keys.md",
                "docs/keys.md",
                "../LICENSE-MIT",
                Some("https://github.com/cred-rs/cred/blob/main/LICENSE-MIT"),
            ),
            (
                "program.md",
                "crates/cred-cli/README.md",
                "src",
                Some("https://github.com/cred-rs/cred/tree/main/crates/cred-cli/src"),
            ),
            ("SUMMARY.md", "docs/SUMMARY.md", "backends/aws.md", Some("backends/aws.md")),
            ("keys.md", "docs/keys.md", "https://example.org", Some("https://example.org")),
            ("keys.md", "docs/keys.md", "#here", Some("#here")),
            ("keys.md", "docs/keys.md", "gone.md", None),
        ] {
            assert_eq!(link(page, home, target).as_deref(), expected, "{target} in {home}");
        }
    }
}
