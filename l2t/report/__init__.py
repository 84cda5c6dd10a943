"""Reading runs and studies: statistics, plots, pages."""
