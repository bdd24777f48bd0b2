"""What follows from the trips in money: pay of drivers and carriers, deductions, fuel and tolls."""
