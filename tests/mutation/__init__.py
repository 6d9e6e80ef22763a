"""Would the tests of the pure decisions notice a fault? Faults are planted, and the living counted."""
