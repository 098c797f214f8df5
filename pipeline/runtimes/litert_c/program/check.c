// model.tflite through LiteRT's C API, on one thread.
#include <dlfcn.h>

#include "litert.h"
#include "model.h"
#include "npz.h"

#define PLACE "__version__ = \""

static LiteRtEnvironment environment;
static LiteRtCompiledModel compiled;
static LiteRtTensorBuffer inputs[COUNT(INPUTS)], outputs[COUNT(OUTPUTS)];

static const struct {
  const char *kind;
  int type;
} KINDS[] = {{"f4", LITERT_FLOAT32}, {"f8", LITERT_FLOAT64}, {"b1", LITERT_BOOL},
             {"i1", LITERT_INT8},    {"i2", LITERT_INT16},   {"i4", LITERT_INT32},
             {"i8", LITERT_INT64},   {"u1", LITERT_UINT8},   {"U", LITERT_STRING}};

static void demand_ok(int status, const char *what) {
  char text[64];
  snprintf(text, sizeof text, "%s, with its status %d", what, status);
  if (status != LITERT_OK) fail("LiteRT cannot", text);
}

// Of another version the functions may take something else, so none is called before this.
static void demand_version(void) {
  Dl_info library = {0};
  void *function = dlsym(RTLD_DEFAULT, "LiteRtCreateEnvironment");
  char path[4096], line[256] = "", text[512];
  if (function) dladdr(function, &library);
  const char *end = library.dli_fname ? strrchr(library.dli_fname, '/') : NULL;
  snprintf(path, sizeof path, "%.*s/__init__.py", end ? (int)(end - library.dli_fname) : 0,
           end ? library.dli_fname : "");
  FILE *file = fopen(path, "r");
  if (file && !fgets(line, sizeof line, file)) line[0] = 0;
  if (file) fclose(file);
  const char *version = strncmp(line, PLACE, strlen(PLACE)) ? "of no version" : line + strlen(PLACE);
  int length = strcspn(version, "\"\n");
  if (length == (int)strlen(LITERT_VERSION) && !strncmp(version, LITERT_VERSION, length)) return;
  snprintf(text, sizeof text, "%.*s, expected %s, whose functions it calls: pip install ai-edge-litert==%s",
           length, version, LITERT_VERSION, LITERT_VERSION);
  fail("found ai-edge-litert", text);
}

static void load(const char *directory) {
  char path[4096];
  LiteRtModel model;
  LiteRtOptions options;
  demand_version();
  snprintf(path, sizeof path, "%s/model.tflite", directory);
  demand_ok(LiteRtCreateEnvironment(0, NULL, &environment), "be started");
  demand_ok(LiteRtCreateModelFromFile(environment, path, &model), "read model.tflite");
  demand_ok(LiteRtCreateOptions(&options), "be set");
  demand_ok(LiteRtSetOptionsHardwareAccelerators(options, LITERT_CPU), "be set to the CPU");
  demand_ok(LiteRtCreateCompiledModel(environment, model, options, &compiled), "load model.tflite");
}

static int type_of(const char *kind) {
  for (int each = 0; each < COUNT(KINDS); each++) {
    if (!strncmp(KINDS[each].kind, kind, strlen(KINDS[each].kind))) return KINDS[each].type;
  }
  fail("cannot read arrays of", kind);
  return 0;
}

static LiteRtLayout shape_of(const Array *array) {
  LiteRtLayout shape = {.rank = array->rank};
  for (int axis = 0; axis < array->rank; axis++) shape.dimensions[axis] = array->dims[axis];
  return shape;
}

// Replaces a buffer by one of so many bytes.
static void make(LiteRtTensorBuffer *buffer, const char *kind, const LiteRtLayout *shape,
                 size_t bytes) {
  LiteRtRankedTensorType type = {type_of(kind), *shape};
  if (*buffer) LiteRtDestroyTensorBuffer(*buffer);
  demand_ok(LiteRtCreateManagedTensorBuffer(environment, LITERT_HOST_MEMORY, &type, bytes, buffer),
            "make room for an array");
}

static void *locked(LiteRtTensorBuffer buffer, int mode) {
  void *data;
  demand_ok(LiteRtLockTensorBuffer(buffer, &data, mode), "reach an array");
  return data;
}

// Texts are their number, where each begins and the last one ends, and then they, as UTF-8.
static size_t as_texts(const Array *array, char *out) {
  size_t at = 4 * (array->count + 2);
  int32_t count = array->count, place = at;
  memcpy(out, &count, 4);
  memcpy(out + 4, &place, 4);
  for (size_t each = 0; each < array->count; each++) {
    at += as_utf8(array->data + each * array->size, array->size, out + at);
    place = at;
    memcpy(out + 4 * (each + 2), &place, 4);
  }
  return at;
}

// Gives an input to the model; tells whether that changed its shape.
static int give(int each, const Array *array, const char *kind) {
  static LiteRtLayout before[COUNT(INPUTS)];
  LiteRtLayout shape = shape_of(array);
  if (strncmp(array->kind, kind, kind[0] == 'U' ? 1 : 2)) fail("expected another dtype of", array->name);
  int changed = !inputs[each] || memcmp(&shape, &before[each], sizeof shape);
  int text = kind[0] == 'U';
  // A character of four bytes takes as many in UTF-8 at most.
  size_t most = array->count * array->size + (text ? 4 * (array->count + 2) : 0);
  char *texts = text ? room(most) : NULL;
  size_t bytes = text ? as_texts(array, texts) : most;
  if (changed) {
    demand_ok(LiteRtCompiledModelResizeInputTensor(compiled, 0, each, shape.dimensions, array->rank),
              "take an input of this shape");
  }
  if (changed || text) make(&inputs[each], kind, &shape, bytes);
  memcpy(locked(inputs[each], LITERT_WRITE), text ? (void *)texts : array->data, bytes);
  demand_ok(LiteRtUnlockTensorBuffer(inputs[each]), "release an array");
  free(texts);
  before[each] = shape;
  return changed;
}

// Returns an answer's array, without its numbers. LiteRT itself knows its size only when it has run.
static Array expected(const Port *port, const Array *given) {
  Array array = {.rank = port->rank, .count = 1, .size = port->kind[1] - '0'};
  strcpy(array.kind, port->kind);
  for (int axis = 0; axis < port->rank; axis++) {
    const Size *size = &port->sizes[axis];
    array.dims[axis] = size->fixed ? size->fixed : given[size->input].dims[size->axis];
    array.count *= array.dims[axis];
  }
  return array;
}

static void demand_shapes(const Array *found) {
  LiteRtLayout shapes[COUNT(OUTPUTS)];
  demand_ok(LiteRtGetCompiledModelOutputTensorLayouts(compiled, 0, COUNT(OUTPUTS), shapes, false),
            "say what it answered");
  for (int each = 0; each < COUNT(OUTPUTS); each++) {
    int right = shapes[each].rank == found[each].rank;
    for (int axis = 0; right && axis < found[each].rank; axis++) {
      right = shapes[each].dimensions[axis] == found[each].dims[axis];
    }
    if (!right) fail("LiteRT answered another shape than model.h has of", OUTPUTS[each].name);
  }
}

static void answer(const Array *given, Array *found) {
  int changed = 0;
  for (int each = 0; each < COUNT(INPUTS); each++) {
    changed |= give(each, &given[each], INPUTS[each].kind);
  }
  for (int each = 0; each < COUNT(OUTPUTS); each++) {
    found[each] = expected(&OUTPUTS[each], given);
    LiteRtLayout shape = shape_of(&found[each]);
    if (changed) make(&outputs[each], OUTPUTS[each].kind, &shape, found[each].count * found[each].size);
  }
  demand_ok(LiteRtRunCompiledModel(compiled, 0, COUNT(INPUTS), inputs, COUNT(OUTPUTS), outputs),
            "run model.tflite");
  demand_shapes(found);
  for (int each = 0; each < COUNT(OUTPUTS); each++) {
    size_t bytes = found[each].count * found[each].size;
    found[each].data = room(bytes);
    memcpy(found[each].data, locked(outputs[each], LITERT_READ), bytes);
    demand_ok(LiteRtUnlockTensorBuffer(outputs[each]), "release an array");
  }
}

#include "main.h"
