// SavedModel through TensorFlow's C API.
#include <tensorflow/c/c_api.h>

#include "model.h"
#include "npz.h"

static TF_Graph *graph;
static TF_Session *session;
static TF_Status *status;

static const struct {
  const char *kind;
  TF_DataType type;
} KINDS[] = {{"f4", TF_FLOAT}, {"f8", TF_DOUBLE}, {"b1", TF_BOOL},  {"i1", TF_INT8},
             {"i2", TF_INT16}, {"i4", TF_INT32},  {"i8", TF_INT64}, {"u1", TF_UINT8}};

static void demand_ok(void) {
  if (TF_GetCode(status) != TF_OK) fail("TensorFlow:", TF_Message(status));
}

static void load(const char *directory) {
  char path[4096];
  const char *tags[] = {"serve"};
  // The field intra_op_parallelism_threads of a ConfigProto.
  const char *threads = getenv("THREADS");
  unsigned char config[] = {2 << 3, threads ? atoi(threads) & 127 : 0};
  snprintf(path, sizeof path, "%s/saved_model", directory);
  graph = TF_NewGraph();
  status = TF_NewStatus();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_SetConfig(options, config, sizeof config, status);
  demand_ok();
  session = TF_LoadSessionFromSavedModel(options, NULL, path, tags, 1, graph, NULL, status);
  demand_ok();
}

static TF_Output place(const char *operation, int index) {
  TF_Output found = {TF_GraphOperationByName(graph, operation), index};
  if (!found.oper) fail("the graph has no operation", operation);
  return found;
}

static TF_Tensor *as_tensor(const Array *array) {
  if (array->kind[0] == 'U') {
    size_t bytes = array->count * sizeof(TF_TString);
    TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, array->dims, array->rank, bytes);
    TF_TString *texts = TF_TensorData(tensor);
    char *text = room(array->size + 1);
    for (size_t each = 0; each < array->count; each++) {
      size_t length = as_utf8(array->data + each * array->size, array->size, text);
      TF_StringInit(&texts[each]);
      TF_StringCopy(&texts[each], text, length);
    }
    free(text);
    return tensor;
  }
  for (int each = 0; each < COUNT(KINDS); each++) {
    if (!strcmp(KINDS[each].kind, array->kind)) {
      size_t bytes = array->count * array->size;
      TF_Tensor *tensor = TF_AllocateTensor(KINDS[each].type, array->dims, array->rank, bytes);
      memcpy(TF_TensorData(tensor), array->data, bytes);
      return tensor;
    }
  }
  fail("cannot read arrays of", array->kind);
  return NULL;
}

static Array as_array(TF_Tensor *tensor) {
  Array array = {.rank = TF_NumDims(tensor), .count = 1};
  for (int each = 0; each < COUNT(KINDS); each++) {
    if (KINDS[each].type == TF_TensorType(tensor)) strcpy(array.kind, KINDS[each].kind);
  }
  if (!array.kind[0] || array.rank > MOST_DIMS) fail("cannot read", "an output's type or shape");
  for (int each = 0; each < array.rank; each++) {
    array.dims[each] = TF_Dim(tensor, each);
    array.count *= array.dims[each];
  }
  array.size = TF_DataTypeSize(TF_TensorType(tensor));
  array.data = room(array.count * array.size);
  memcpy(array.data, TF_TensorData(tensor), array.count * array.size);
  return array;
}

static void answer(const Array *given, Array *found) {
  TF_Output inputs[COUNT(INPUTS)], outputs[COUNT(OUTPUTS)];
  TF_Tensor *values[COUNT(INPUTS)], *answers[COUNT(OUTPUTS)];
  for (int each = 0; each < COUNT(INPUTS); each++) {
    inputs[each] = place(INPUTS[each].operation, INPUTS[each].index);
    values[each] = as_tensor(&given[each]);
  }
  for (int each = 0; each < COUNT(OUTPUTS); each++) {
    outputs[each] = place(OUTPUTS[each].operation, OUTPUTS[each].index);
  }
  TF_SessionRun(session, NULL, inputs, values, COUNT(INPUTS), outputs, answers, COUNT(OUTPUTS), NULL,
                0, NULL, status);
  demand_ok();
  for (int each = 0; each < COUNT(INPUTS); each++) TF_DeleteTensor(values[each]);
  for (int each = 0; each < COUNT(OUTPUTS); each++) {
    found[each] = as_array(answers[each]);
    TF_DeleteTensor(answers[each]);
  }
}

#include "main.h"
