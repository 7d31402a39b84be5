"""Suites of generative models: GANs, VAEs and diffusion, with chosen batches and chosen data."""
