import { render } from "preact";
import { RequestList } from "./list";
import { route, start } from "./state";
import { TracePage } from "./trace";

function App() {
  return route.value.traceId ? <TracePage key={route.value.traceId} /> : <RequestList />;
}

start();
render(<App />, document.getElementById("app")!);
