"""Sets of problems that an audit makes: from answers that models wrote, and beside the task."""
