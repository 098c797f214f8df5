// model.onnx through ONNX Runtime's C API.
#include "model.h"
#include "npz.h"
#include "onnxruntime.h"

static const OrtApi *ort;
static OrtSession *session;
static OrtMemoryInfo *memory;
static OrtAllocator *allocator;

static const struct {
  const char *kind;
  int type;
} KINDS[] = {{"f4", ORT_FLOAT}, {"f8", ORT_DOUBLE}, {"b1", ORT_BOOL},   {"i1", ORT_INT8},
             {"i2", ORT_INT16}, {"i4", ORT_INT32},  {"i8", ORT_INT64},  {"u1", ORT_UINT8},
             {"u2", ORT_UINT16}, {"u4", ORT_UINT32}, {"u8", ORT_UINT64}};

static void demand_ok(OrtStatus *status) {
  if (!status) return;
  char line[1024];
  snprintf(line, sizeof line, "%s", ort->GetErrorMessage(status));
  for (char *at = line; *at; at++) *at = *at == '\n' ? ' ' : *at;
  fail("ONNX Runtime:", line);
}

static void load(const char *directory) {
  char path[4096];
  OrtEnv *environment;
  OrtSessionOptions *options;
  const char *threads = getenv("THREADS");
  ort = OrtGetApiBase()->GetApi(ORT_VERSION);
  if (!ort) {
    fail("expected the first version of ONNX Runtime's functions, which it lacks:",
         OrtGetApiBase()->GetVersionString());
  }
  snprintf(path, sizeof path, "%s/model.onnx", directory);
  demand_ok(ort->CreateEnv(ORT_LOG_ERRORS, "check", &environment));
  demand_ok(ort->CreateSessionOptions(&options));
  demand_ok(ort->SetIntraOpNumThreads(options, threads ? atoi(threads) : 0));
  demand_ok(ort->CreateSession(environment, path, options, &session));
  demand_ok(ort->CreateCpuMemoryInfo(ORT_DEVICE_ALLOCATOR, ORT_MEMORY_DEFAULT, &memory));
  demand_ok(ort->GetAllocatorWithDefaultOptions(&allocator));
}

static OrtValue *as_texts(const Array *array) {
  OrtValue *value;
  char **texts = room(array->count * sizeof *texts);
  for (size_t each = 0; each < array->count; each++) {
    texts[each] = room(array->size + 1);
    texts[each][as_utf8(array->data + each * array->size, array->size, texts[each])] = 0;
  }
  demand_ok(ort->CreateTensorAsOrtValue(allocator, array->dims, array->rank, ORT_STRING, &value));
  demand_ok(ort->FillStringTensor(value, (const char *const *)texts, array->count));
  for (size_t each = 0; each < array->count; each++) free(texts[each]);
  free(texts);
  return value;
}

static OrtValue *as_value(const Array *array) {
  if (array->kind[0] == 'U') return as_texts(array);
  for (int each = 0; each < COUNT(KINDS); each++) {
    if (!strcmp(KINDS[each].kind, array->kind)) {
      OrtValue *value;
      demand_ok(ort->CreateTensorWithDataAsOrtValue(memory, array->data, array->count * array->size,
                                                    array->dims, array->rank, KINDS[each].type, &value));
      return value;
    }
  }
  fail("cannot read arrays of", array->kind);
  return NULL;
}

static Array as_array(OrtValue *value) {
  Array array = {.count = 1};
  OrtTensorTypeAndShapeInfo *info;
  int type;
  size_t rank;
  void *data;
  demand_ok(ort->GetTensorTypeAndShape(value, &info));
  demand_ok(ort->GetTensorElementType(info, &type));
  demand_ok(ort->GetDimensionsCount(info, &rank));
  for (int each = 0; each < COUNT(KINDS); each++) {
    if (KINDS[each].type == type) strcpy(array.kind, KINDS[each].kind);
  }
  if (!array.kind[0] || rank > MOST_DIMS) fail("cannot read", "an output's type or shape");
  array.rank = rank;
  array.size = array.kind[1] - '0';
  demand_ok(ort->GetDimensions(info, array.dims, rank));
  ort->ReleaseTensorTypeAndShapeInfo(info);
  for (int each = 0; each < array.rank; each++) array.count *= array.dims[each];
  demand_ok(ort->GetTensorMutableData(value, &data));
  array.data = room(array.count * array.size);
  memcpy(array.data, data, array.count * array.size);
  return array;
}

static void answer(const Array *given, Array *found) {
  const char *input_names[COUNT(INPUTS)], *output_names[COUNT(OUTPUTS)];
  OrtValue *values[COUNT(INPUTS)], *answers[COUNT(OUTPUTS)] = {NULL};
  for (int each = 0; each < COUNT(INPUTS); each++) {
    input_names[each] = INPUTS[each].name;
    values[each] = as_value(&given[each]);
  }
  for (int each = 0; each < COUNT(OUTPUTS); each++) output_names[each] = OUTPUTS[each].name;
  demand_ok(ort->Run(session, NULL, input_names, (const OrtValue *const *)values, COUNT(INPUTS),
                     output_names, COUNT(OUTPUTS), answers));
  for (int each = 0; each < COUNT(INPUTS); each++) ort->ReleaseValue(values[each]);
  for (int each = 0; each < COUNT(OUTPUTS); each++) {
    found[each] = as_array(answers[each]);
    ort->ReleaseValue(answers[each]);
  }
}

#include "main.h"
