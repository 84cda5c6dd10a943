"""What is computed on finite processes and with saved policies, beside training: one file for each study."""
