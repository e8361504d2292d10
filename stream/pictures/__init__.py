"""Pictures as videos: numbered files, GIF, animated WebP and APNG."""
