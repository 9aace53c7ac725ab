"""Changed copies of an audit's images: artefacts put in or taken out, parts hidden, images made worse."""
