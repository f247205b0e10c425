// Which fields are never sent, and which look alike and are: tests/cases/form_fields.json.
import assert from "node:assert/strict";
import test from "node:test";
import { cases, fieldHtml, formOf, read } from "./page.mjs";

const TABLE = cases("form_fields");

test("the table has at least 60 fields, half of them innocent", () => {
    assert.ok(TABLE.length >= 60);
    assert.equal(TABLE.filter((row) => row.expected).length * 2, TABLE.length);
});

for (const { name, given, expected } of TABLE) {
    test(`${expected ? "sent" : "never sent"}: ${name}`, () => {
        for (const useLabels of [false, true]) {
            const [values] = read(formOf(fieldHtml(given)), { useLabels });
            const key = useLabels && given.label ? given.label : given.name;
            assert.deepEqual(values, expected ? { [key]: given.value } : {});
        }
    });
}
