"""Modules as one script."""

import re

import pytest

from service.routes.page_script import join_modules

MODULES = {
    "page.js": """// @ts-check
/** The page. */

import { draw } from "./views/one.js";
import {
  first as begin,
  second,
} from "./state.js";

draw(begin, second);
""",
    "views/one.js": """import * as state from "../state.js";
/** @param {number} one
 * @import { nothing } */
export const draw = (one, two) => /** @type {number} */ (state.first() + one() + two);
""",
    "state.js": """export function first() {}
export async function other() {}
export const second = 2; // two
""",
    "unused.js": "export const unused = 1;\n",
}


JOINED = """\
const $0 = (() => {
function first() {}
async function other() {}
const second = 2; // two
return { first, other, second };
})();
const $1 = (() => {
const state = $0;
const draw = (one, two) => /** @type {number} */ (state.first() + one() + two);
return { draw };
})();
const $2 = (() => {

const { draw } = $1;
const {
  first: begin,
  second,
} = $0;

draw(begin, second);
return {  };
})();
"""


def test_a_module_runs_once_after_those_that_it_imports() -> None:
    assert join_modules(MODULES, "page.js") == JOINED


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ('import "./state.js";\n', 'one.js: this form of import or export is not read: import "./state.js";'),
        ("export let changing = 1;\n", "one.js: this form of import or export is not read: export let"),
        ("export default 1;\n", "one.js: this form of import or export is not read: export default"),
        ('import { a } from "./none.js";\n', "one.js imports none.js, which is not there"),
        ('import { a } from "./two.js";\n', "two.js imports one.js, which needs it in turn"),
    ],
)
def test_what_cannot_be_joined_is_an_error(module: str, says: str) -> None:
    modules = {"one.js": module, "two.js": 'import { a } from "./one.js";\n'}

    with pytest.raises(ValueError, match=re.escape(says)):
        join_modules(modules, "one.js")
