"""The pages of the screens: each module reads what it needs, makes a frozen context and shows it."""
