"""Pure statistics on arrays: intervals, paired differences, the curve posterior and the stage rule."""
