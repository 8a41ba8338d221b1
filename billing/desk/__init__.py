"""Pages of the staff desk that are about no single row. The pages of rows are in `admin`."""
