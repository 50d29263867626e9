/* Every reach into CPython's internals, and nothing else.

   Each is checked when the core is configured (internals_learn) against objects that the
   running interpreter made; what does not look as expected raises, and the engine then
   steps aside with that message. */

#ifndef ASYNCHOOKS_INTERNALS_H
#define ASYNCHOOKS_INTERNALS_H

#include "core.h"

/* Where the slots of asyncio.events.Handle and its subclasses lie, from their member
   descriptors. */
typedef struct HandleLayout {
    PyTypeObject *type;       /* owned: asyncio.events.Handle */
    PyTypeObject *timer_type; /* owned: asyncio.events.TimerHandle */
    /* owned: asyncio.events._ThreadSafeHandle, which call_soon_threadsafe makes from 3.14 on;
       NULL where there is none. */
    PyTypeObject *threadsafe_type;
    Py_ssize_t callback, args, cancelled, context, loop, repr, source_traceback;
    Py_ssize_t when, scheduled; /* of TimerHandle */
    Py_ssize_t lock;            /* of _ThreadSafeHandle */
} HandleLayout;

extern HandleLayout handle_layout;

#define SLOT_AT(object, offset) (*(PyObject **)((char *)(object) + (offset)))

/* The C types asyncio.Task and asyncio.Future of module _asyncio, owned. */
extern PyTypeObject *task_type;
extern PyTypeObject *future_type;

/* Finds the types and layouts, and learns from `step` (what a new task hands to
   loop.call_soon) and `wakeup` (what a finished future hands to it) how a step names its
   `task`.
   Returns: 0, or -1 with RuntimeError set that says what was not as expected. */
int internals_learn(PyObject *step, PyObject *wakeup, PyObject *task);
bool internals_are_learnt(void);

/* Checks that our walk over frames meets the code that the public functions meet.
   Returns: 0, or -1 with RuntimeError set. */
int internals_learn_frames(void);

/* Returns: the task whose step `callback` is, borrowed from it, or NULL. */
PyObject *task_of_step(PyObject *callback);

/* What runs a task: the call of a step, which names it, and its wake-up, which it is the
   self of. Both are CPython's until exchanged. */
typedef struct StepFunctions {
    ternaryfunc step;
    PyCFunction wakeup;
} StepFunctions;

StepFunctions get_step_functions(void);
void set_step_functions(StepFunctions functions);

/* Whether the interpreter that runs here is the one that we work in. */
static inline bool
runs_in_our_interpreter(void)
{
    return PyInterpreterState_Get() == PyInterpreterState_Main();
}

/* Whether `task` is of the interpreter that we work for. A sub-interpreter's tasks come to us,
   too, perhaps while another GIL than ours is held: the definition of a task's wake-up is one
   for the whole process, and on 3.11 so are the types. */
static inline bool
is_of_our_interpreter(PyObject *task)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyObject_TypeCheck(task, future_type); /* each interpreter has its own */
#else
    return runs_in_our_interpreter();
#endif
}

/* Returns: the context of this thread, borrowed, or NULL: it has none yet. */
PyObject *context_of_thread(void);

/* Returns: a copy of the context of this thread before any other was entered, new, or NULL with
   MemoryError set. */
PyObject *outermost_context(void);

/* The slot, and the slot wrapper by which super().__init__() reaches it, have to be one.
   Returns: 0, or -1 with RuntimeError set. */
int check_init(PyTypeObject *type);

/* Exchanges a slot of `type`, and the slot wrapper that Python code reaches it by, for
   `type` and those of its subclasses that inherited `old`. */
void exchange_init(PyTypeObject *type, initproc old, initproc new);
void exchange_dealloc(PyTypeObject *type, destructor old, destructor new);

/* What an async generator does when it is asked for a step, and when it dies. */
typedef struct AsyncGeneratorFunctions {
    unaryfunc anext;
    PyCFunction asend;
    destructor finalize;
    destructor dealloc;
} AsyncGeneratorFunctions;

/* Returns: 0, or -1 with RuntimeError set. */
int get_async_generator_functions(AsyncGeneratorFunctions *functions);
void set_async_generator_functions(AsyncGeneratorFunctions functions);

/* Makes a call of the class `type` itself go to `function` (NULL: as before). */
void set_class_vectorcall(PyTypeObject *type, vectorcallfunc function);

/* Whether a future whose __init__ is done has nothing in it but its loop, and so make_future()
   can do without calling that. */
bool futures_can_be_made(void);

/* What `Future(loop=loop)` makes where `loop` is not in debug mode.
   Returns: new, or NULL with MemoryError set. */
PyObject *make_future(PyObject *loop);

#if PY_VERSION_HEX >= 0x030c0000
/* Gives a task whose __init__ has not begun what makes it safe to be looked at (`get_coro()`
   would crash), and takes it back. `loop` may be NULL. */
void task_dress(PyObject *task, PyObject *coroutine, PyObject *context, PyObject *loop);
void task_undress(PyObject *task);
#endif

/* Calls a class as if it had no vectorcall: for arguments that do not fit, so that the error
   is the class's own, and for forms that we do not know.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
PyObject *call_class_as_ever(PyObject *class, PyObject *const *args, size_t nargsf,
                             PyObject *kwnames);

/* Makes calls of a Python function from C, and where the interpreter allows it those of
   Python code, go to `vectorcall`, which has to do the same.
   Returns: what they went to before. */
vectorcallfunc set_function_vectorcall(PyObject *function, vectorcallfunc vectorcall);

/* Returns: the descriptor of a C method of `type`, borrowed from it, or NULL with RuntimeError
   set. */
PyMethodDescrObject *find_method(PyTypeObject *type, const char *name);

/* Has `method` call the function of `definition`, which may differ from its own in nothing
   else. The descriptor, and whoever holds it, stays the same. Cannot fail. */
void set_method_definition(PyMethodDescrObject *method, PyMethodDef *definition);

/* The same for a method that Cython has made: `function` is what its class has. Its
   definition may be changed in place.
   Returns: borrowed, or NULL with RuntimeError set. */
PyMethodDef *cython_definition(PyObject *function);

/* Returns: what `name` is in the classes of `type`, without binding, borrowed, or NULL
   without an exception. */
PyObject *lookup_in_type(PyTypeObject *type, PyObject *name);

/* Has `code` keep a small number of ours, for code_get_extra() of internals_frames.h. */
void code_set_extra(PyCodeObject *code, uintptr_t value);

/* Checks that a context is laid out as we think.
   Returns: 0, or -1 with RuntimeError set. */
int internals_learn_contexts(void);

/* The context of here, made if there is none yet. Returns: new, or NULL with an exception set. */
PyObject *current_context(void);

/* The immutable mapping that a context holds now. Returns: borrowed. */
PyObject *context_variables(PyObject *context);

/* Has a context hold another one, in whichever thread it runs. May run Python code: yes (what it
   held dies). */
void context_set_variables(PyObject *context, PyObject *variables);

/* Sets (value) or deletes (NULL) an attribute of any type, immutable ones too.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
int set_type_attribute(PyTypeObject *type, PyObject *name, PyObject *value);

#endif
