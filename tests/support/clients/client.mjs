// Uses a ClickHouse by @clickhouse/client, and prints a line of JSON for each thing it saw.
import { createRequire } from "node:module";

const { createClient } = createRequire(import.meta.url)("@clickhouse/client");

const FOR_EVER = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1";
const COMPRESSION = { none: [false, false], gzip: [true, true] };
const [response, request] = COMPRESSION[process.argv[4]];
const client = createClient({
  url: process.argv[2], database: process.argv[3], request_timeout: 300_000, compression: { response, request },
});

function say(what, value) {
  console.log(JSON.stringify({ [what]: value }));
}

async function insert() {
  const row = {
    text: "it's \\ \t", low: "low", maybe: -5, at: "2026-01-02 03:04:05.678", list: ["a", "b'"],
    dims: { k: "v" }, yes: true, ratio: 0.5, pair: [7, "t"],
  };
  const values = ["10", "11", "12"].map((id) => ({ id, ...row }));
  await client.insert({ table: "kinds", values, format: "JSONEachRow" });
  say("inserted", values.length);
}

async function read() {
  const query = "SELECT * REPLACE (toUnixTimestamp64Milli(at) AS at) FROM kinds WHERE id < {id:UInt64} ORDER BY id";
  const found = await client.query({ query, query_params: { id: 10 }, format: "JSONCompactEachRow" });
  for (const row of await found.json()) {
    say("row", row.map((value, column) => (column === 0 || column === 4 ? Number(value) : value)));
  }
}

async function big() {
  const query = "SELECT number, toString(number) FROM numbers(1000000)";
  const found = await client.query({ query, format: "JSONCompactEachRow" });
  let count = 0;
  let sum = 0;
  for await (const rows of found.stream()) {
    for (const row of rows) {
      const [number, text] = row.json();
      count += 1;
      sum += Number(number) + Number(text);
    }
  }
  say("big", [count, sum]);
}

async function refused() {
  try {
    await client.query({ query: "SELECT nope FROM kinds" });
  } catch (error) {
    say("error", [Number(error.code), error.type]);
  }
}

async function cancelled() {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 2_000);
  try {
    await client.query({ query: FOR_EVER, query_id: "by-node", abort_signal: abort.signal });
  } catch (error) {
    say("cancelled", error.message);
  }
  const query = "SELECT count() AS n FROM system.processes WHERE query_id = 'by-node'";
  let running = 1;
  while (running > 0) {
    const found = await client.query({ query, format: "JSONEachRow" });
    running = Number((await found.json())[0].n);
  }
  say("running", running);
}

async function session() {
  const kept = createClient({ url: process.argv[2], database: process.argv[3], session_id: `node-${process.argv[4]}` });
  await kept.command({ query: "CREATE TEMPORARY TABLE own (n UInt8)" });
  await kept.insert({ table: "own", values: [{ n: 7 }], format: "JSONEachRow" });
  const found = await kept.query({ query: "SELECT n FROM own", format: "JSONEachRow" });
  say("session", await found.json());
  await kept.close();
}

say("ping", (await client.ping()).success);
await insert();
await read();
await big();
await refused();
await cancelled();
await session();
await client.close();
