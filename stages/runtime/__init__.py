"""How a stage runs: params checked, work spread and resumed, errors worded. It changes no byte of an output."""
