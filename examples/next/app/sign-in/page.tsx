import { enter } from './actions'

export default function Page() {
  return (
    <form action={enter}>
      <input name="email" type="email" placeholder="Mail address" required />
      <input name="password" type="password" placeholder="Password" required />
      <button type="submit">Sign in</button>
    </form>
  )
}
