"""From rewards to data and policies, exactly, on candidate pools."""
