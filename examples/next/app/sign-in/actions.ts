'use server'

import { cookies } from 'next/headers'
import { redirect } from 'next/navigation'
import { isRowhouseError, signIn } from 'rowhouse'

const SEVEN_DAYS = 7 * 24 * 60 * 60

/** Signs in at the Rowhouse server, and keeps its session's token in the cookie that `createCaller` looks for. */
export async function enter(form: FormData) {
  const url = process.env.APP_URL ?? 'http://localhost:3000'
  const email = String(form.get('email'))
  const password = String(form.get('password'))
  const account = await signIn({ url, email, password }).catch(error => {
    if (isRowhouseError(error)) redirect(`/sign-in?error=${error.reason}`)
    throw error
  })
  const isSecure = url.startsWith('https:')
  const name = `${isSecure ? '__Secure-' : ''}better-auth.session_token`
  const jar = await cookies()
  jar.set(name, account.token, { httpOnly: true, sameSite: 'lax', secure: isSecure, maxAge: SEVEN_DAYS })
  redirect('/')
}
