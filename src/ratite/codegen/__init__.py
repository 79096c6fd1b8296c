"""From recorded blocks to something that runs: the reference evaluator, stencils, and the native helpers around them."""
