/** The gateway's icon, an arch with a light in it: the files in assets/, read once. */

import { readFileSync } from 'node:fs'

/** Resolves from src/http and from dist/http. */
const FOLDER = new URL('../../assets/', import.meta.url)

export const ICON_SVG = readFileSync(new URL('icon.svg', FOLDER))

/** 96 by 96 pixels, transparent corners. */
export const ICON_PNG = readFileSync(new URL('icon-96.png', FOLDER))
