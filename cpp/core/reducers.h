// The one list of the core's methods: the name used in Python's table, and a struct that ends its family's file:
//
//   kNeeds             what its backward reads (run.h)
//   kScatters          each output hands its gradient to one winner
//   Reducer<T, extra>  its reducer (reducer.h) or selector (selector.h) for this storage type; extra asks it to keep
//                      winners or, where the struct says kTakesLogits, to read logits
#pragma once

#include "reducers/draws.h"
#include "reducers/extrema.h"
#include "reducers/means.h"
#include "reducers/mixes.h"
#include "reducers/norms.h"
#include "reducers/ranks.h"
#include "reducers/softmax.h"
#include "reducers/spreads.h"

#define POOLKIT_REDUCERS(REDUCER)          \
  REDUCER(max, Max)                        \
  REDUCER(min, Min)                        \
  REDUCER(avg, Average)                    \
  REDUCER(sum, Sum)                        \
  REDUCER(lp, Lp)                          \
  REDUCER(power_avg, PowerAverage)         \
  REDUCER(avg_max, AverageMax)             \
  REDUCER(quantile, Quantile)              \
  REDUCER(quantile_linear, QuantileLinear) \
  REDUCER(top_k_mean, TopKMean)            \
  REDUCER(trimmed_mean, TrimmedMean)       \
  REDUCER(stochastic, Stochastic)          \
  REDUCER(stochastic_mean, StochasticMean) \
  REDUCER(soft, Soft)                      \
  REDUCER(log_sum_exp, LogSumExp)          \
  REDUCER(gem, GeneralisedMean)            \
  REDUCER(range, Range)                    \
  REDUCER(std, StandardDeviation)          \
  REDUCER(var, Variance)
