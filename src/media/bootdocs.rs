//! Finds every boot configuration on the medium, also inside FAT images.
