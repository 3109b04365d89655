//! Identity x recipes -> exactly one, or an error that shows the near misses. File markers and the
//! medium's own statements decide; the label only breaks a tie.

use super::{Match, Recipe, matching};
use crate::content::tree::Tree;
use crate::error::{Error, ErrorKind, Result};
use crate::family::Family;
use crate::media::identity::Identity;

/// The recipe that fits, and why.
#[derive(Debug, Clone)]
pub struct Selection<'r> {
    /// The recipe.
    pub recipe: &'r Recipe,
    /// What spoke for it, one fact each.
    pub evidence: Vec<String>,
    /// True where only a label or nothing but the presence of a kernel spoke for it.
    pub assumed: bool,
}

/// Finds the one recipe that fits. `has_kernel`: the medium's menus or files have a Linux kernel,
/// without which the fallback, the recipe of the generic family, is of no use.
///
/// # Errors
/// `Ambiguous` where several fit equally, `NotFound` where none does.
pub fn select<'r>(
    recipes: &'r [Recipe],
    id: &Identity,
    tree: &Tree,
    has_kernel: bool,
) -> Result<Selection<'r>> {
    let fits: Vec<(&Recipe, &Match, Vec<String>)> = recipes
        .iter()
        .filter_map(|r| r.matches.iter().find_map(|m| Some((r, m, holds(m, id, tree).ok()?))))
        .collect();
    let chosen = match fits.len() {
        0 => return fallback(recipes, id, tree, has_kernel),
        1 => fits.into_iter().next(),
        _ => Some(break_tie(fits, id)?),
    };
    let Some((recipe, matched, mut evidence)) = chosen else {
        return fallback(recipes, id, tree, has_kernel);
    };
    let mut assumed = false;
    if let Some(d) = id.distro.as_ref().filter(|_| !matched.distro.is_empty()) {
        evidence.push(format!("distribution \"{}\" ({})", d.value, d.evidence));
        assumed = d.assumed;
    }
    Ok(Selection { recipe, evidence, assumed })
}

/// Picks a recipe by name.
///
/// # Errors
/// `NotFound`, listing the names that come near.
pub fn by_name<'r>(recipes: &'r [Recipe], name: &str) -> Result<&'r Recipe> {
    recipes.iter().find(|r| r.name == name).ok_or_else(|| {
        let names: Vec<&str> = recipes.iter().map(|r| r.name.as_str()).collect();
        Error::new(ErrorKind::NotFound, format!("there is no recipe \"{name}\""))
            .hint(format!("there are {}", names.join(", ")))
    })
}

/// The evidence where everything in `m` holds, else the first thing that does not.
fn holds(m: &Match, id: &Identity, tree: &Tree) -> std::result::Result<Vec<String>, String> {
    if !m.distro.is_empty() {
        let named = id.distro.as_ref().ok_or("the medium names no distribution")?;
        if !m.distro.iter().any(|d| d.eq_ignore_ascii_case(&named.value)) {
            return Err(format!("the medium is \"{}\"", named.value));
        }
    }
    let mut evidence = Vec::new();
    for f in &m.files {
        let found = matching(tree, f).next().ok_or_else(|| format!("{f} is missing"))?;
        evidence.push(found.to_string());
    }
    if let Some(f) = m.not_files.iter().find(|f| matching(tree, f).next().is_some()) {
        return Err(format!("{f} is there"));
    }
    Ok(evidence)
}

type Fit<'r, 'm> = (&'r Recipe, &'m Match, Vec<String>);

/// Of several that fit, the one that asks for the distribution by name, and of several such the one
/// whose label it is.
fn break_tie<'r, 'm>(mut fits: Vec<Fit<'r, 'm>>, id: &Identity) -> Result<Fit<'r, 'm>> {
    if fits.iter().any(|(_, m, _)| !m.distro.is_empty()) {
        fits.retain(|(_, m, _)| !m.distro.is_empty());
    }
    if fits.len() == 1 {
        return Ok(fits.swap_remove(0));
    }
    if let Some(label) = &id.label
        && let Some(at) = fits.iter().position(|(r, _, _)| r.name == label.recipe)
    {
        let mut fit = fits.swap_remove(at);
        fit.2.extend(label.evidence.iter().cloned());
        return Ok(fit);
    }
    let names: Vec<&str> = fits.iter().map(|(r, _, _)| r.name.as_str()).collect();
    let what = format!("several recipes fit: {}", names.join(", "));
    Err(Error::new(ErrorKind::Ambiguous, what).hint("choose one with --recipe NAME"))
}

fn fallback<'r>(
    recipes: &'r [Recipe],
    id: &Identity,
    tree: &Tree,
    has_kernel: bool,
) -> Result<Selection<'r>> {
    let generic = recipes.iter().find(|r| r.family == Family::Generic && r.matches.is_empty());
    if let Some(recipe) = generic.filter(|_| has_kernel) {
        let near = near_misses(recipes, id, tree);
        let mut evidence = vec!["a Linux kernel, and no known installer".to_owned()];
        evidence.extend(near.into_iter().take(3));
        return Ok(Selection { recipe, evidence, assumed: true });
    }
    let mut what = "no recipe fits this medium".to_owned();
    if let Some(d) = &id.distro {
        what.push_str(&format!(", which calls itself \"{}\"", d.value));
    }
    let near = near_misses(recipes, id, tree);
    let hint = if near.is_empty() {
        "no Linux kernel was found on it either; `isowright inspect` shows what is there".to_owned()
    } else {
        format!("near: {}; choose one with --recipe NAME", near.join("; "))
    };
    Err(Error::new(ErrorKind::NotFound, what).hint(hint))
}

/// Recipes that failed by one thing only: `rocky: images/pxeboot/vmlinuz is missing`.
fn near_misses(recipes: &[Recipe], id: &Identity, tree: &Tree) -> Vec<String> {
    let mut near = Vec::new();
    for r in recipes {
        for m in &r.matches {
            let whole = holds(m, id, tree);
            // Near is what fits but for the name, or fits the name but not the files.
            let without = |f: fn(&mut Match)| {
                let mut m = m.clone();
                f(&mut m);
                (!m.files.is_empty() || !m.distro.is_empty()) && holds(&m, id, tree).is_ok()
            };
            if let Err(why) = whole
                && (without(|m| m.files.clear())
                    || (id.distro.is_none() && without(|m| m.distro.clear())))
            {
                near.push(format!("{}: {why}", r.name));
            }
        }
    }
    near.dedup();
    near
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tree::Node;
    use crate::media::identity::{Fact, VolumeLabels};

    fn tree(paths: &[&str]) -> Tree {
        paths.iter().map(|p| (p.parse().expect("path"), Node::file("x"))).collect()
    }

    fn named(distro: &str) -> Identity {
        let f = Fact { value: distro.to_owned(), evidence: "test".into(), assumed: false };
        Identity { distro: Some(f), ..Identity::default() }
    }

    #[test]
    fn a_stranger_gets_the_generic_recipe_only_with_a_kernel() {
        let all = super::super::bundled().expect("recipes");
        let t = tree(&["boot/vmlinuz"]);
        let s = select(&all, &Identity::default(), &t, true).expect("generic");
        assert_eq!((s.recipe.name.as_str(), s.assumed), ("generic", true));
        let e = select(&all, &Identity::default(), &t, false).expect_err("none");
        assert_eq!(e.kind(), ErrorKind::NotFound);
        let e = select(&all, &Identity::default(), &tree(&["readme"]), false).expect_err("none");
        assert!(e.hint_text().expect("hint").starts_with("no Linux kernel was found"));
    }

    #[test]
    fn a_near_miss_is_told() {
        let all = super::super::bundled().expect("recipes");
        let e = select(&all, &named("Rocky Linux"), &tree(&["readme"]), false).expect_err("none");
        assert!(e.hint_text().expect("hint").contains("rocky: images/pxeboot/vmlinuz is missing"));
    }

    #[test]
    fn who_asks_by_name_goes_before_who_takes_all() {
        let all = super::super::bundled().expect("recipes");
        let t = tree(&["LiveOS/squashfs.img", "isolinux/vmlinuz0", "isolinux/initrd0.img"]);
        for (distro, recipe) in [
            ("CentOS", "centos-live"),
            ("AlmaLinux Kitten", "almalinux-live"),
            ("Rocky Linux", "rocky-live"),
            ("Scientific Linux", "fedora-live"),
        ] {
            let s = select(&all, &named(distro), &t, true).expect("one");
            assert_eq!(s.recipe.name, recipe, "{distro}");
        }
    }

    #[test]
    fn a_tie_is_broken_by_the_label_or_not_at_all() {
        let one = |name: &str| {
            let text = format!(
                "name = \"{name}\"\ntitle = \"x\"\nfamily = \"generic\"\nproven = \"boot\"\n\
                 [[match]]\nfiles = [\"a\"]\n\
                 [[label]]\nvolume_id = \"{name}_.*\"\ndistro = \"{name}\"\n"
            );
            Recipe::from_toml(&text, name).expect("recipe")
        };
        let all = [one("one"), one("two")];
        let labels = super::super::label::labels(&all).expect("labels");
        let id = |volume_id: &str| {
            let volume = VolumeLabels { volume_id: volume_id.into(), ..VolumeLabels::default() };
            Identity { label: labels.read(&volume).ok(), ..Identity::default() }
        };
        let e = select(&all, &id("THREE_1"), &tree(&["a"]), true).expect_err("tie");
        assert_eq!(e.kind(), ErrorKind::Ambiguous);
        assert!(e.to_string().contains("one, two"), "{e}");
        let s = select(&all, &id("TWO_1"), &tree(&["A"]), true).expect("two");
        assert_eq!(
            (s.recipe.name.as_str(), s.evidence[1].as_str()),
            ("two", "volume id \"TWO_1\"")
        );
        // A label without the files never selects.
        let e = select(&all, &id("TWO_1"), &tree(&["b"]), false).expect_err("none");
        assert_eq!(e.kind(), ErrorKind::NotFound);
    }
}
