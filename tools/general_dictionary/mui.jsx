import * as React from 'react'
import { createRoot } from 'react-dom/client'
import {
  Alert, AppBar, Avatar, Box, Button, Card, CardContent, Checkbox, Chip, Container, CssBaseline, Divider, FormControlLabel, Grid, IconButton,
  LinearProgress, List, ListItem, ListItemText, MenuItem, Pagination, Paper, Radio, Rating, Select, Slider, Stack, Switch, Tab,
  Table, TableBody, TableCell, TableContainer, TableHead, TableRow, Tabs, TextField, Toolbar, Tooltip, Typography,
} from '@mui/material'

function App() {
  const [tab, setTab] = React.useState(0)
  return (
    <>
      <CssBaseline />
      <AppBar position="static"><Toolbar><Typography variant="h6" sx={{ flexGrow: 1 }}>Overview</Typography><Button color="inherit">Login</Button></Toolbar></AppBar>
      <Container maxWidth="lg"><Box sx={{ my: 4 }}>
        <Tabs value={tab} onChange={(_, value) => setTab(value)}><Tab label="General" /><Tab label="Team" /><Tab label="Billing" /></Tabs>
        <Alert severity="info">Your changes were saved.</Alert><LinearProgress variant="determinate" value={40} />
        <Grid container spacing={2}>{[1, 2, 3, 4].map((i) => <Grid size={3} key={i}><Card><CardContent><Typography variant="h5">{i * 17}</Typography><Typography variant="body2" color="text.secondary">Orders today</Typography><Chip label="New" color="primary" size="small" /></CardContent></Card></Grid>)}</Grid>
        <Paper><TableContainer><Table><TableHead><TableRow><TableCell>Name</TableCell><TableCell align="right">Total</TableCell></TableRow></TableHead><TableBody>{[...Array(8 + tab).keys()].map((i) => <TableRow key={i} hover><TableCell>Order {i}</TableCell><TableCell align="right">{i * 3.5}</TableCell></TableRow>)}</TableBody></Table></TableContainer><Pagination count={5} /></Paper>
        <Stack spacing={2}><TextField label="Email" variant="outlined" /><TextField label="Name" variant="standard" /><Select value={1}><MenuItem value={1}>One</MenuItem></Select><FormControlLabel control={<Checkbox />} label="Remember me" /><FormControlLabel control={<Switch />} label="Notify" /><Radio /><Rating value={3} /><Slider defaultValue={30} /><Button variant="contained">Save</Button><Button variant="outlined">Cancel</Button><Tooltip title="Help"><IconButton>?</IconButton></Tooltip></Stack>
        <List>{['Inbox', 'Sent'].map((name) => <ListItem key={name}><Avatar>{name[0]}</Avatar><ListItemText primary={name} secondary="Jan 9" /></ListItem>)}</List><Divider />
      </Box></Container>
    </>
  )
}
createRoot(document.getElementById('root')).render(<App />)
