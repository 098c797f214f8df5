// How far answers are from the trained model's, and how far they may be.
#ifndef DIFFERENCE_H
#define DIFFERENCE_H
#include "npz.h"

static const double ATOL = @ATOL@, RTOL = @RTOL@, LARGE = 10;

static double value_of(const Array *array, size_t at) {
  const unsigned char *data = array->data + at * array->size;
  return array->size == 4 ? *(const float *)data : *(const double *)data;
}

// ATOL grows with a row's largest value beyond LARGE.
static double of_row(const Array *array, size_t at) {
  size_t width = array->rank > 1 && array->dims[0] ? array->count / array->dims[0] : 0;
  double largest = 0;
  for (size_t each = width ? at / width * width : 0, left = width; left; each++, left--) {
    double size = fabs(value_of(array, each));
    if (isfinite(size) && size > largest) largest = size;
  }
  return ATOL * fmax(1, largest / LARGE);
}

// Prints how far the answer is off, and returns whether it may be: ATOL + RTOL * |value|.
static int compared(const char *file, const Array *answer, const Array *expected) {
  const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
  int right = answer->rank == expected->rank && answer->count == expected->count &&
              (expected->kind[0] == 'U' || !strcmp(answer->kind, expected->kind));
  for (int each = 0; right && each < answer->rank; each++) {
    right = answer->dims[each] == expected->dims[each];
  }
  double largest = 0;
  if (right && expected->kind[0] != 'f') {
    right = answer->size == expected->size &&
            !memcmp(answer->data, expected->data, answer->count * answer->size);
  } else if (right) {
    for (size_t at = 0; at < expected->count; at++) {
      double found = value_of(answer, at), wanted = value_of(expected, at);
      if (found == wanted || (isnan(found) && isnan(wanted))) continue;
      double off = fabs(found - wanted);
      largest = off <= largest ? largest : off;
      right = right && off <= of_row(expected, at) + RTOL * fabs(wanted);
    }
  }
  printf("%s %s: largest difference %.3g%s\n", base, answer->name, largest,
         right ? "" : ", which is too far");
  return right;
}
#endif
