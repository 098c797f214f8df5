// Reads and writes numpy's files, in C and C++: .npz as numpy.savez writes it, stored and not
// compressed, and .npy.
#ifndef NPZ_H
#define NPZ_H
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DIMS 8
#define COUNT(names) ((int)(sizeof(names) / sizeof(*names)))

typedef struct {
  char name[256];
  char kind[8];  // as numpy names it, without the order of bytes: f4, i8, b1, U7
  int rank;
  int64_t dims[MOST_DIMS];
  size_t count, size;  // of elements, and bytes of one
  unsigned char *data;
} Array;

typedef struct {
  unsigned char *bytes;
  int count;
  Array *arrays;
} Arrays;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "%s %s\n", what, which);
  exit(2);
}

static void *room(size_t size) {
  void *found = calloc(size ? size : 1, 1);
  if (!found) fail("no memory for", "an array");
  return found;
}

static uint32_t number(const unsigned char *at, int width) {
  uint32_t value = 0;
  for (int each = width - 1; each >= 0; each--) value = value << 8 | at[each];
  return value;
}

// Returns text of four bytes a character as UTF-8, with its length in bytes.
static inline size_t as_utf8(const unsigned char *text, size_t size, char *out) {
  size_t length = 0;
  for (size_t at = 0; at < size; at += 4) {
    uint32_t point = number(text + at, 4);
    if (!point) break;
    int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char FIRST[] = {0, 0xC0, 0xE0, 0xF0};
    out[length++] = FIRST[more] | point >> (6 * more);
    while (more--) out[length++] = 0x80 | (point >> (6 * more) & 0x3F);
  }
  return length;
}

static void read_array(Array *array, const unsigned char *bytes) {
  int wide = bytes[6] > 1;
  const unsigned char *start = bytes + (wide ? 12 : 10);
  start += number(bytes + 8, wide ? 4 : 2);
  char header[1024];
  size_t length = start - bytes - 10;
  if (length >= sizeof header) fail("too long a header in", array->name);
  memcpy(header, bytes + 10, length);
  header[length] = 0;
  const char *kind = strstr(header, "'descr': '");
  const char *shape = strchr(header, '(');
  if (!kind || !shape || strstr(header, "True") || kind[10] == '>') fail("cannot read", header);
  for (int each = 0; each < 7 && kind[11 + each] != '\''; each++) array->kind[each] = kind[11 + each];
  array->size = strtoul(array->kind + 1, NULL, 10) * (array->kind[0] == 'U' ? 4 : 1);
  array->count = 1;
  for (const char *at = shape + 1; *at && *at != ')';) {
    char *end;
    long long dim = strtoll(at, &end, 10);
    if (end != at) {
      if (array->rank == MOST_DIMS) fail("too many dimensions in", array->name);
      array->dims[array->rank++] = dim;
      array->count *= dim;
    }
    at = end == at ? at + 1 : end;
  }
  array->data = (unsigned char *)room(array->count * array->size);
  memcpy(array->data, start, array->count * array->size);
}

static Arrays read_npz(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) fail("cannot open", path);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  Arrays all = {(unsigned char *)room(size), 0, NULL};
  if (size < 22 || fread(all.bytes, 1, size, file) != (size_t)size) fail("cannot read", path);
  fclose(file);
  long end = size - 22;
  while (end > 0 && number(all.bytes + end, 4) != 0x06054b50) end--;
  all.count = number(all.bytes + end + 10, 2);
  all.arrays = (Array *)room(all.count * sizeof(Array));
  const unsigned char *at = all.bytes + number(all.bytes + end + 16, 4);
  for (int each = 0; each < all.count; each++) {
    uint32_t length = number(at + 28, 2), local = number(at + 42, 4);
    if (number(at + 10, 2) || number(at + 20, 4) == 0xffffffff || length > 250 || length < 5) {
      fail("expected what numpy.savez writes in", path);
    }
    memcpy(all.arrays[each].name, at + 46, length - 4);  // without .npy
    const unsigned char *content = all.bytes + local + 30;
    content += number(all.bytes + local + 26, 2) + number(all.bytes + local + 28, 2);
    read_array(&all.arrays[each], content);
    at += 46 + length + number(at + 30, 2) + number(at + 32, 2);
  }
  return all;
}

// Returns the array `input.<name>` or `output.<name>`.
static const Array *find(const Arrays *all, const char *side, const char *name) {
  size_t length = strlen(side);
  for (int each = 0; each < all->count; each++) {
    const char *found = all->arrays[each].name;
    if (!strncmp(found, side, length) && !strcmp(found + length, name)) return &all->arrays[each];
  }
  fail("expected in the examples", name);
  return NULL;
}

// Returns the first row of an array, as often as is asked for.
static Array repeated(const Array *array, int64_t rows) {
  Array many = *array;
  size_t width = array->count / array->dims[0];
  many.dims[0] = rows;
  many.count = width * rows;
  many.data = (unsigned char *)room(many.count * many.size);
  for (int64_t row = 0; row < rows; row++) {
    memcpy(many.data + row * width * many.size, array->data, width * many.size);
  }
  return many;
}

static void write_npy(const char *folder, const char *file, const Array *array) {
  const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
  char path[4096], header[512], shape[256] = "";
  snprintf(path, sizeof path, "%s/%.*s.%s.npy", folder, (int)strlen(base) - 4, base, array->name);
  for (int each = 0; each < array->rank; each++) {
    snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%lld,", (long long)array->dims[each]);
  }
  char order = array->size == 1 ? '|' : '<';
  snprintf(header, sizeof header, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }", order,
           array->kind, shape);
  size_t length = (strlen(header) + 11 + 63) / 64 * 64 - 10;
  FILE *out = fopen(path, "wb");
  if (!out) fail("cannot write", path);
  unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1};
  start[8] = length & 255;
  start[9] = length >> 8;
  fwrite(start, 1, 10, out);
  fprintf(out, "%-*s\n", (int)length - 1, header);
  if (fwrite(array->data, array->size, array->count, out) != array->count) fail("cannot write", path);
  fclose(out);
}
#endif
