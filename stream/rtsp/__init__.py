"""Network input and output in child processes: reader, writer, and the messages between them and the pipeline."""
