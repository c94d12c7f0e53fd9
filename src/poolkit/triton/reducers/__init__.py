"""What the walkers compute: the methods of cpp/core/reducers, by the same names.

A method is a program over the cells of a window: `method(FOLD, walk, window, KIND)` folds over them once or more, with
a lift and a combination each time, and returns its results, a tuple. The walkers, which know nothing of methods, give

    FOLD(walk, LIFT, COMBINE, context)                all cells' partial results combined: a tuple
    window = (count, cells, p, q[, seed, number])     the divisor; how many cells; the step's floats; for draws

and a fold takes

    LIFT(value, score, offset, valid, context)        the partial result of one cell, or, where not valid, of none
    COMBINE(*a, *b)                                   associative; in order of the cells where windows walk

Scores are the logits, where a call has them, else the cells themselves. A gradient is

    PULL(value, score, offset, gradient, count, kept, p, q, KIND)

what the cell at this offset takes of one window's gradient, and, second, what its score takes. It reads what was kept:
winners, the result, or what a program of its own found out about each window.
"""
