//! Evaluates code, and lets promises go on, until the code and all calls that it made have ended. Variables stay. Knows
//! nothing of processes: what goes out and comes in is `Outside`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use rquickjs::context::EvalOptions;
use rquickjs::function::Func;
use rquickjs::promise::PromiseState;
use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Function, Object, Persistent, Promise, Runtime, Value,
};

use crate::message::Ended;

/// Bytes of the engine's heap.
const MAX_HEAP: usize = 128 * 1024 * 1024;
/// Bytes of the engine's stack.
const MAX_STACK: usize = 1024 * 1024;
/// Bytes of a value's text, and of an exception's.
const MAX_TEXT: usize = 256 * 1024;
/// Steps of promises that are made after the code itself has ended; others wait for the next code.
const MAX_LAST_JOBS: usize = 1000;
/// Steps of promises of code that was stopped, each of which the engine stops soon.
const MAX_STOPPED_JOBS: usize = 100_000;
/// What the code is called in the places of exceptions.
const FILE: &str = "js_repl";

/// What the engine has to do with the world.
pub(crate) trait Outside {
    /// Prints something.
    fn print(&self, text: String);

    /// Calls a tool; its answer will be received under this number.
    fn call(&self, call: u64, name: String, arguments: serde_json::Value);

    /// Waits for the answer to any call; `None` if the code is to be stopped.
    fn receive(&self) -> Option<(u64, Result<String, String>)>;

    /// Whether the code is to be stopped.
    fn is_stopped(&self) -> bool;
}

/// An interpreter.
pub(crate) struct Engine {
    // Invariant: what is kept of the engine's goes before the engine.
    show: Persistent<Function<'static>>,
    host: Rc<Host>,
    context: Context,
}

struct Host {
    outside: Rc<dyn Outside>,
    calls: Cell<u64>,
    waiting: RefCell<HashMap<u64, Waiting>>,
}

/// How a promise is settled.
struct Waiting {
    resolve: Persistent<Function<'static>>,
    reject: Persistent<Function<'static>>,
}

/// What is waited for.
enum Awaited<'js> {
    /// The code. The engine wraps the value of code that may await into an object.
    Code(Promise<'js>),
    /// A promise that was its value.
    Value(Promise<'js>),
}

impl<'js> Awaited<'js> {
    fn is_settled(&self) -> bool {
        let (Self::Code(promise) | Self::Value(promise)) = self;
        promise.state() != PromiseState::Pending
    }

    fn settled(&self) -> rquickjs::Result<Value<'js>> {
        match self {
            Self::Code(promise) => promise
                .result::<Object<'js>>()
                .unwrap_or_else(|| Err(rquickjs::Error::WouldBlock))?
                .get("value"),
            Self::Value(promise) => promise.result().unwrap_or_else(|| Err(rquickjs::Error::WouldBlock)),
        }
    }
}

impl Engine {
    /// One without variables.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new(outside: Rc<dyn Outside>) -> rquickjs::Result<Self> {
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(MAX_HEAP);
        runtime.set_max_stack_size(MAX_STACK);
        let stopping = Rc::clone(&outside);
        runtime.set_interrupt_handler(Some(Box::new(move || stopping.is_stopped())));
        let context = Context::full(&runtime)?;
        let host = Rc::new(Host { outside, calls: Cell::new(0), waiting: RefCell::default() });
        let show = context.with(|ctx| {
            let prelude: Function = ctx.eval(include_str!("prelude.js"))?;
            let outside = Rc::clone(&host.outside);
            let print = Func::from(move |text: String| outside.print(text));
            let show: Function = prelude.call((print, sender(&ctx, Rc::clone(&host))?))?;
            Ok::<_, rquickjs::Error>(Persistent::save(&ctx, show))
        })?;
        Ok(Self { show, host, context })
    }

    /// Evaluates code to its end.
    pub(crate) fn run(&self, code: String) -> Ended {
        let ended = self.context.with(|ctx| {
            let ended = self.evaluate(&ctx, code);
            if matches!(ended, Ended::Stopped) {
                // What its promises would do next is stopped as well, and not left to the next code.
                let mut left = MAX_STOPPED_JOBS;
                while left > 0 && ctx.execute_pending_job() {
                    left -= 1;
                }
            }
            ended
        });
        // Nothing that still waits for an answer will get one.
        self.host.waiting.borrow_mut().clear();
        ended
    }

    fn evaluate(&self, ctx: &Ctx<'_>, code: String) -> Ended {
        let mut options = EvalOptions::default();
        options.strict = false;
        options.promise = true;
        options.filename = Some(FILE.to_owned());
        let evaluated = ctx.eval_with_options::<Promise<'_>, _>(code, options);
        let mut awaited = match evaluated.catch(ctx) {
            Ok(promise) => Awaited::Code(promise),
            Err(error) => return self.exception(ctx, &error),
        };
        let mut last_jobs = 0;
        loop {
            if self.host.outside.is_stopped() {
                return Ended::Stopped;
            }
            let is_over = awaited.is_settled() && self.host.waiting.borrow().is_empty();
            if last_jobs < MAX_LAST_JOBS && ctx.execute_pending_job() {
                last_jobs += usize::from(is_over);
                continue;
            }
            if is_over {
                match awaited.settled().catch(ctx) {
                    // Whoever forgets to await means what comes of it.
                    Ok(value) => match value.as_promise() {
                        Some(promise) => awaited = Awaited::Value(promise.clone()),
                        None if value.is_undefined() => return Ended::Value(None),
                        None => return Ended::Value(Some(self.shown(ctx, value))),
                    },
                    Err(error) => return self.exception(ctx, &error),
                }
                continue;
            }
            if self.host.waiting.borrow().is_empty() {
                // Nothing can happen any more that could settle it.
                return Ended::Exception("What it awaits never comes".to_owned());
            }
            let Some((call, outcome)) = self.host.outside.receive() else { return Ended::Stopped };
            if let Err(error) = self.settle(ctx, call, outcome).catch(ctx) {
                return self.exception(ctx, &error);
            }
        }
    }

    fn settle(&self, ctx: &Ctx<'_>, call: u64, outcome: Result<String, String>) -> rquickjs::Result<()> {
        let Some(waiting) = self.host.waiting.borrow_mut().remove(&call) else { return Ok(()) };
        match outcome {
            Ok(text) => waiting.resolve.restore(ctx)?.call((text,)),
            Err(message) => {
                let error: Function = ctx.globals().get("Error")?;
                let error: Value = error.call((message,))?;
                waiting.reject.restore(ctx)?.call((error,))
            }
        }
    }

    fn exception<'js>(&self, ctx: &Ctx<'js>, error: &CaughtError<'js>) -> Ended {
        if self.host.outside.is_stopped() {
            return Ended::Stopped;
        }
        Ended::Exception(match error {
            CaughtError::Exception(exception) => self.shown(ctx, exception.as_value().clone()),
            CaughtError::Value(value) => format!("Uncaught {}", self.shown(ctx, value.clone())),
            CaughtError::Error(error) => error.to_string(),
        })
    }

    fn shown<'js>(&self, ctx: &Ctx<'js>, value: Value<'js>) -> String {
        let shown = self.show.clone().restore(ctx).and_then(|show| show.call::<_, String>((value,)));
        let mut text = shown.unwrap_or_else(|_| {
            // The exception is of the showing, not of the code.
            drop(ctx.catch());
            "[can't be shown]".to_owned()
        });
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text
    }
}

/// The function by which the code calls tools.
fn sender<'js>(ctx: &Ctx<'js>, host: Rc<Host>) -> rquickjs::Result<Function<'js>> {
    let send = move |ctx: Ctx<'js>, name: String, arguments: String| -> rquickjs::Result<Promise<'js>> {
        let (promise, resolve, reject) = ctx.promise()?;
        let call = host.calls.get();
        host.calls.set(call.wrapping_add(1));
        let waiting =
            Waiting { resolve: Persistent::save(&ctx, resolve), reject: Persistent::save(&ctx, reject) };
        host.waiting.borrow_mut().insert(call, waiting);
        // What the code's own `JSON` made of it may be no JSON.
        let arguments = serde_json::from_str(&arguments).unwrap_or_default();
        host.outside.call(call, name, arguments);
        Ok(promise)
    };
    Function::new(ctx.clone(), send)
}

#[cfg(test)]
mod tests;
