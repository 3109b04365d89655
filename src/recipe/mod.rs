//! Recipes: one TOML per distribution line, data, compiled in.
