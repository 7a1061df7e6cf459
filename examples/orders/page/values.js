// Money, times and ids, as the page reads and writes them.

const AMOUNT = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const TIME = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Amounts come as text, and `format` takes text: no cent is lost to floating point. */
export const money = (text) => AMOUNT.format(text);

export const time = (text) => TIME.format(new Date(text));

export const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

/** What items cost, as text; what is not typed to its end yet counts nothing. */
export function totalOf(items) {
  const cents = items.reduce((sum, item) => sum + centsOf(item), 0n);
  return `${cents / 100n}.${String(cents % 100n).padStart(2, "0")}`;
}

function centsOf({ quantity, unit_price }) {
  const [, whole, part = ""] = /^(\d+)(?:\.(\d{1,2}))?$/.exec(unit_price) ?? [];
  if (whole === undefined || !/^\d+$/.test(String(quantity))) return 0n;
  return BigInt(quantity) * BigInt(whole + part.padEnd(2, "0"));
}

export const sum = (one, other) =>
  totalOf([one, other].map((unit_price) => ({ quantity: 1, unit_price })));

/** The id of the customer of this name: nobody signs in here, so the same name is the same one. */
export function customerIdOf(name) {
  let hash = 0x6c62272e07bb014262b821756295c58dn; // FNV-1a, of 128 bits
  for (const byte of new TextEncoder().encode(name.trim().toLowerCase())) {
    hash = BigInt.asUintN(128, (hash ^ BigInt(byte)) * 0x1000000000000000000013bn);
  }
  const hex = hash.toString(16).padStart(32, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
