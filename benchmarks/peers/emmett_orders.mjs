/*
 * Emmett 0.42 on PostgreSQL: creates orders, each in a stream of its own, as its documentation
 * shows it: `CommandHandler` over `getPostgreSQLEventStore`, here with a pool of as many
 * connections as there are commands in flight (the default of `pg` is 10).
 *
 * The same as ours: the server and its durability, one transaction and one event a command, the
 * order's data in JSON, a check that the stream is not there yet, a decision by a function.
 * Not the same: Emmett also keeps a row for each stream and gives each event the id of its
 * transaction, has no record of commands (a repeated command is not recognized), and its `decide`
 * here checks nothing. Its readers wait for the oldest transaction of the server, ours do not.
 *
 * Usage: node emmett_orders.mjs URL TOTAL IN_FLIGHT [append]
 * It says `ready`, waits for a line, and prints how many commands a second it did. With `append`
 * it calls `appendToStream` at once, without reading the stream first.
 */
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { CommandHandler, STREAM_DOES_NOT_EXIST } from "@event-driven-io/emmett";
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import pg from "pg";

const [url, total, inFlight, mode] = process.argv.slice(2);
const WARM_UP = 500;

const pool = new pg.Pool({ connectionString: url, max: Number(inFlight) });
const store = getPostgreSQLEventStore(url, { connectionOptions: { pooled: true, pool } });
const handle = CommandHandler({
  evolve: (order, event) => (event.type === "OrderCreated" ? { ...order, open: true } : order),
  initialState: () => ({ open: false }),
  mapToStreamId: (id) => `order-${id}`,
});

const line = {
  product_id: "85123A",
  quantity: 6,
  unit_price: "2.55",
  description: "WHITE HANGING HEART T-LIGHT HOLDER",
};

const command = () => ({
  order_id: randomUUID(),
  customer_id: "00000000-0000-0000-0000-000000000007",
  customer_name: "Ann Example",
  items: [line, line, line],
  shipping_address: "1 Long Street, London",
});

const decide = (data, order) => {
  if (order.open) throw new Error("there is an order with this id already");
  return { type: "OrderCreated", data };
};

const create = async () => {
  const data = command();
  if (mode === "append")
    await store.appendToStream(`order-${data.order_id}`, [decide(data, { open: false })], {
      expectedStreamVersion: STREAM_DOES_NOT_EXIST,
    });
  else await handle(store, data.order_id, (order) => decide(data, order));
};

const run = async (count) => {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await create();
  };
  await Promise.all(Array.from({ length: Number(inFlight) }, worker));
};

await store.schema.migrate();
await run(WARM_UP);
console.log("ready");
await once(process.stdin, "data");
const started = performance.now();
await run(Number(total));
console.log((Number(total) / (performance.now() - started)) * 1000);
await store.close();
await pool.end();
process.exit(0);
