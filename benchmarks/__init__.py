"""What is measured: data, scenarios, methods, suites, the runner, reports, the command line."""
