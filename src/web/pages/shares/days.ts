import { z } from 'zod'

/** When something ends, as a form sends it: a number of days, or nothing. */
export const optionalDays = (most: number) =>
  z
    .string()
    .refine(
      (text) => text === '' || isWithin(text, most),
      `Enter a whole number of days, from 1 to ${most}, or nothing.`,
    )

const isWithin = (text: string, most: number) =>
  /^\d{1,9}$/.test(text) && Number(text) >= 1 && Number(text) <= most
