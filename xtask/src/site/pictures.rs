//! Pictures made from text: each `NAME.pikchr` has its `NAME.svg` beside it, so that the Markdown
//! shows it without the site as well.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, anyhow, ensure};

use super::files;

/// Fails if a picture is not the one of its text. With `CRED_BLESS=1` it writes the pictures.
pub(super) fn check(folder: &Path) -> Result<()> {
    let bless = env::var_os("CRED_BLESS").is_some();
    for text in files(folder)?.iter().filter(|file| file.extension().is_some_and(|kind| kind == "pikchr")) {
        let drawn = draw(&fs::read_to_string(text)?).with_context(|| format!("in {}", text.display()))?;
        let picture = text.with_extension("svg");
        if bless {
            fs::write(&picture, &drawn)?;
        }
        let is_current = fs::read_to_string(&picture).is_ok_and(|stored| stored == drawn);
        ensure!(is_current, "{} is stale: run CRED_BLESS=1 cargo xtask site", picture.display());
    }
    Ok(())
}

fn draw(text: &str) -> Result<String> {
    let flags = pikchr::PikchrFlags::default();
    let picture = pikchr::Pikchr::render(text, None, flags).map_err(|error| anyhow!("{error}"))?;
    let styled =
        picture.trim_end().replacen("font-size:initial;", "font-family:sans-serif;font-size:initial;", 1);
    Ok(format!("{styled}\n"))
}
