"""What the stages share: small modules with one idea each, imported downwards only."""
