"""The parts of the runner: plan, folder, one cell, worker processes."""
