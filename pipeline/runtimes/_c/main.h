// check [--answers FOLDER] [--time FILE] [EXAMPLES.npz ...]
// Answers the examples and says how far that is from what the trained model answered; ends with 1
// where it is further than the model promises. What includes this has INPUTS, OUTPUTS, load(), which
// takes the complete model's directory, and answer(), which takes and gives arrays in their order.
#include <time.h>

#include "difference.h"

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static int by_size(const void *one, const void *other) {
  double difference = *(const double *)one - *(const double *)other;
  return (difference > 0) - (difference < 0);
}

static double median(const Arrays *examples, int rows) {
  Array inputs[COUNT(INPUTS)], outputs[COUNT(OUTPUTS)];
  double times[103];
  for (int each = 0; each < COUNT(INPUTS); each++) {
    inputs[each] = repeated(find(examples, "input.", INPUTS[each].name), rows);
  }
  for (int turn = 0; turn < 103; turn++) {
    double start = now();
    answer(inputs, outputs);
    times[turn] = now() - start;
    for (int each = 0; each < COUNT(OUTPUTS); each++) free(outputs[each].data);
  }
  qsort(times + 3, 100, sizeof *times, by_size);
  return times[53];
}

int main(int count, char **words) {
  const char *folder = NULL, *timing = NULL;
  const char *files[64] = {"../../examples/one.npz", "../../examples/seven.npz"};
  int named = 0, right = 1;
  double first = 0;
  for (int each = 1; each < count; each++) {
    if (!strcmp(words[each], "--answers") && each + 1 < count) folder = words[++each];
    else if (!strcmp(words[each], "--time") && each + 1 < count) timing = words[++each];
    else if (named < 64) files[named++] = words[each];
  }
  double start = now();
  load("../..");
  double loaded = now() - start;
  for (int file = 0; file < (named ? named : 2); file++) {
    Arrays examples = read_npz(files[file]);
    Array inputs[COUNT(INPUTS)], outputs[COUNT(OUTPUTS)];
    for (int each = 0; each < COUNT(INPUTS); each++) {
      inputs[each] = *find(&examples, "input.", INPUTS[each].name);
    }
    start = now();
    answer(inputs, outputs);
    first = file ? first : now() - start;
    for (int each = 0; each < COUNT(OUTPUTS); each++) {
      snprintf(outputs[each].name, sizeof outputs[each].name, "%s", OUTPUTS[each].name);
      right &= compared(files[file], &outputs[each], find(&examples, "output.", OUTPUTS[each].name));
      if (folder) write_npy(folder, files[file], &outputs[each]);
    }
  }
  if (timing) {
    Arrays examples = read_npz(files[0]);
    FILE *out = fopen(timing, "w");
    if (!out) fail("cannot write", timing);
    fprintf(out, "{\"load_seconds\": %.9f, \"first_seconds\": %.9f, ", loaded, first);
    fprintf(out, "\"median_1_seconds\": %.9f, ", median(&examples, 1));
    fprintf(out, "\"median_32_seconds\": %.9f}\n", median(&examples, 32));
    fclose(out);
  }
  return right ? 0 : 1;
}
